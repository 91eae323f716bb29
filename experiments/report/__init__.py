"""The report: one HTML file that says what came of one run, or of many, and opens anywhere, offline.

What is said is found first, as plain values (`content.py` and what it calls); how it looks is the template's
business alone (`template/`). Nothing is measured here: everything comes from the result folders.
"""
