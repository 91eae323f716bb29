"""The colours of the six stages."""

# One colour a stage wherever stages are shown. The five that no strategy changes are quiet, so that the one that
# differs between runs stands out; neighbours differ in lightness, which no kind of colour blindness hides.
STAGE_COLOURS = {
    "preprocess": "#8C8C8C",
    "partition": "#D0D0D0",
    "load": "#7FB8DA",
    "train": "#2F6690",
    "synchronize": "#E8731A",
    "update": "#F3D38C",
}
