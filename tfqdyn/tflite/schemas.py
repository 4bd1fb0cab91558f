"""The generated reader of .tflite flatbuffers: LiteRT's, or TensorFlow's where that is missing."""

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:  # TensorFlow carries the same generated reader
    from tensorflow.lite.python import schema_py_generated as schema

__all__ = ["schema"]
