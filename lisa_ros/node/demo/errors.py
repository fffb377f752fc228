"""What stops the demo."""


class DemoError(RuntimeError):
    """The demo cannot go on; the message is one sentence for the user."""
