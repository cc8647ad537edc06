"""What makes the picker known to lbproxy by a name of its own."""

from lbexample import ByClient

from lbproxy import Option, PickerPlugin

byClient = PickerPlugin(
    "by-client",
    ByClient,
    {"seed": Option(int, 0, "Another number gives other clients to each backend.")},
)
