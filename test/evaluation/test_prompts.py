from __future__ import annotations

from lisa_ros.evaluation.prompts import mask_request


def test_requests_are_those_of_the_reference():
    sentence = mask_request("Where is it cold? ", is_sentence=True)
    assert sentence == "Where is it cold? Please output segmentation mask."
    assert mask_request(" the red cup", is_sentence=False) == (
        "What is the red cup in this image? Please output segmentation mask."
    )
