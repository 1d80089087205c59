"""Statistics f: [B,3,H,W] -> [B,dim], spatial averages with a `name` and a `dim`; one model of the field a file."""
