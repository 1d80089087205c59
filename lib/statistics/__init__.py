"""Statistics f: [B,3,H,W] -> [B,dim]: spatial averages with a `name` and a `dim`, one model a file."""
