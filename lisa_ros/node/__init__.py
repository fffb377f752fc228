"""The ROS side: a lifecycle node that hands images and requests to a Segmenter and publishes its answers.

Knows rclpy and the message packages; never imports torch.
"""
