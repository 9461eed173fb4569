"""Object detection: datasets, input profiles, output decoders and the COCO score."""
