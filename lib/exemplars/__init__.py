"""The nine exemplars: their files, licences (LICENCES.tsv), and how two of them are rendered (render.py)."""
