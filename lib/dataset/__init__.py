"""Photographs -> homogeneous 128x128 patches: the criterion, the sources, the shards, the filter."""
