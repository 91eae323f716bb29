"""The report: one HTML file on one run, or on many, that opens anywhere, offline.

`build.py` collects what the page says, as plain values from the result folders; `template/` decides how it looks.
"""
