"""The baseline in two stages: a vision-language model names the target, an open-vocabulary segmenter cuts it out."""
