"""Model input has mean 0 and deviation 1 over the training split, one scale for all, and nothing else is changed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.data import describe
from common.errors import ConfigError
from common.pipeline import transform_names
from common.pipeline.preprocess import AUGMENTS, Normalise, fit

RAW = torch.tensor([[0.0, 2.0], [4.0, 10.0]])  # mean 4, deviation √(56/3)


def test_the_statistics_are_two_numbers_over_all_samples_and_pixels():
    assert Normalise.fit(RAW) == Normalise(mean=4.0, std=pytest.approx((56 / 3) ** 0.5))


def test_the_fitted_samples_become_mean_0_and_deviation_1():
    samples = torch.rand(100, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 16
    normal = Normalise.fit(samples)(samples)
    assert normal.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert normal.std().item() == pytest.approx(1.0, abs=1e-5)


def test_other_samples_are_scaled_alike():
    assert Normalise(mean=4.0, std=2.0)(torch.tensor([[8.0, 3.0]])).tolist() == [[2.0, -0.5]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64])
def test_any_dtype_becomes_float32_of_the_same_shape(dtype):
    samples = torch.arange(24).reshape(2, 3, 4).to(dtype)
    normal = Normalise.fit(samples)(samples)
    assert normal.dtype == torch.float32
    assert normal.shape == samples.shape
    assert normal.flatten()[-1].item() == pytest.approx((23 - 11.5) / 50**0.5)


def test_each_sample_is_scaled_alone_whatever_batch_it_is_in():
    normalise = Normalise.fit(RAW)
    assert torch.equal(normalise(RAW)[1:], normalise(RAW[1:]))


def test_samples_that_are_all_alike_become_zero_and_not_infinite():
    alike = torch.full((3, 2), 7.0)
    assert Normalise.fit(alike)(alike).tolist() == [[0.0, 0.0]] * 3


def test_the_samples_stay_as_they_are():
    before = RAW.clone()
    Normalise.fit(RAW)(RAW)
    assert torch.equal(RAW, before)


def test_ids_stay_the_ids_they_are_and_values_are_normalised():
    ids = torch.tensor([[0, 7], [3, 3]], dtype=torch.int32)
    assert torch.equal(fit(describe("clicks"), ids).test(ids), ids.long())
    assert fit(describe("digits"), RAW).test == Normalise.fit(RAW)
    assert fit(describe("digits"), RAW).train(0, 2) is None  # so that it is done in the one, well-known way


def test_bytes_are_counted_and_give_the_same_statistics():
    samples = torch.randint(0, 256, (3000, 2, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    counted, plain = Normalise.fit(samples), Normalise.fit(samples.double())
    assert (counted.mean, counted.std) == (pytest.approx(plain.mean), pytest.approx(plain.std))


# --- what is asked for ---


@pytest.mark.parametrize(
    ("text", "data", "canonical"),
    [
        (None, "digits", "normalise"),
        (None, "clicks", "none"),
        (" flip, normalise ,random-crop", "digits", "flip,normalise,random-crop"),
        ("none", "digits", "none"),
    ],
)
def test_transforms_are_in_the_order_asked_for_and_usual_if_not_asked_for(text, data, canonical):
    assert transform_names.canonical_transforms(text, data, describe(data)) == canonical


@pytest.mark.parametrize(
    ("text", "data", "complaint"),
    [
        ("flop", "digits", "unknown transform 'flop': did you mean flip?"),
        ("", "digits", "unknown transform ''"),
        ("flip,flip", "digits", "flip is given twice"),
        ("none,flip", "digits", "none cannot be combined"),
        ("flip", "synthetic", "flip is for images, and samples of synthetic are 20"),
        ("normalise", "clicks", "clicks has ids"),
    ],
)
def test_a_transform_that_does_not_fit_the_data_is_refused_in_one_line(text, data, complaint):
    with pytest.raises(ConfigError, match=complaint) as refused:
        transform_names.canonical_transforms(text, data, describe(data))
    assert "\n" not in str(refused.value)


def test_every_transform_that_is_listed_can_be_done():
    for name in transform_names.TRANSFORMS:
        assert fit(describe("digits"), RAW, name).test(RAW).shape == RAW.shape
    assert set(AUGMENTS) == transform_names.OF_IMAGES


# --- random transforms ---

IMAGES = torch.rand(40, 2, 8, 8, generator=torch.Generator().manual_seed(3)) + 1  # nothing is zero
RANDOM = "random-crop,flip"


def trained(indices, epoch=0, text=RANDOM, seed=0):
    """These images as training sees them."""
    pipeline = fit(describe("digits"), IMAGES, text)
    return pipeline.train(seed, len(IMAGES))(IMAGES[indices], indices, epoch)


@given(st.lists(st.integers(0, 39), min_size=1, max_size=8), st.integers(0, 3), st.integers(0, 2**64 - 1))
def test_a_sample_looks_the_same_in_an_epoch_whoever_asks_in_whatever_batch(indices, epoch, seed):
    together = trained(indices, epoch, seed=seed)
    for image, index in zip(together, indices, strict=True):
        assert torch.equal(image, trained([index], epoch, seed=seed)[0])


def test_epochs_and_seeds_and_samples_differ():
    every = list(range(40))
    first = trained(every)
    assert not torch.equal(first, trained(every, epoch=1))
    assert not torch.equal(first, trained(every, seed=1))
    one = fit(describe("digits"), IMAGES, RANDOM).train(0, 40)(IMAGES[[0] * 40], every, 0)
    assert len({image.numpy().tobytes() for image in one}) > 10
    pipeline = fit(describe("digits"), IMAGES, RANDOM).train(0, 40)
    assert torch.equal(pipeline(IMAGES, every, 1), trained(every, epoch=1))
    assert torch.equal(pipeline(IMAGES, every, 0), first)  # back again


def test_a_crop_is_one_of_the_nine_windows_of_the_padded_image():
    padded = torch.nn.functional.pad(IMAGES, [1] * 4)
    places = set()
    for index, image in enumerate(trained(list(range(40)), text="random-crop")):
        found = [
            (y, x) for y in range(3) for x in range(3) if torch.equal(padded[index, :, y : y + 8, x : x + 8], image)
        ]
        assert len(found) == 1
        places.update(found)
    assert len(places) == 9


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    images = trained(list(range(40)), text="flip")
    mirrored = sum(torch.equal(image, raw.flip(-1)) for image, raw in zip(images, IMAGES, strict=True))
    same = sum(torch.equal(image, raw) for image, raw in zip(images, IMAGES, strict=True))
    assert mirrored + same == 40
    assert 10 <= mirrored <= 30


def test_zeros_are_padded_before_or_after_normalising_as_asked_for():
    normalise = Normalise.fit(IMAGES)
    before, after = (trained(list(range(40)), text=text) for text in ("random-crop,normalise", "normalise,random-crop"))
    crop = trained(list(range(40)), text="random-crop")
    assert torch.equal(before, normalise(crop))
    assert torch.equal(after[crop == 0], torch.zeros_like(after[crop == 0]))
    assert torch.equal(after[crop != 0], before[crop != 0])


def test_test_samples_are_never_changed_at_random():
    assert torch.equal(fit(describe("digits"), IMAGES, RANDOM).test(IMAGES), IMAGES)
    assert torch.equal(
        fit(describe("digits"), IMAGES, RANDOM + ",normalise").test(IMAGES), Normalise.fit(IMAGES)(IMAGES)
    )


def test_images_stay_as_they_are_whatever_is_drawn():
    before = IMAGES.clone()
    trained(list(range(40)), text="normalise,random-crop,flip")
    assert torch.equal(IMAGES, before)
