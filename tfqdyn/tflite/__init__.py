"""TFLite files: what they hold, and which tensor is which layer's."""
