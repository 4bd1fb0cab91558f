"""Installs `tfqdyn`; `models` and `experiments` run from the repository's root."""

import pathlib

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = (HERE / "tfqdyn" / "__init__.py").read_text().split('__version__ = "')[1].split('"')[0]
MICRO = ["tflite-micro>=0.dev20261023182759"]
NOTEBOOKS = ["ipykernel>=6.0", "nbclient>=0.10", "nbformat>=5.10"]

setup(
    name="tfqdyn",
    version=VERSION,
    description="Why a Keras network loses accuracy in 8 bits, in which layer, and what helps",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The tfqdyn developers",
    keywords="quantization TFLite LiteRT Keras int8 uint8 MobileNet",
    python_requires=">=3.10",
    packages=find_packages(include=["tfqdyn", "tfqdyn.*"]),
    package_data={
        "tfqdyn": ["py.typed"],
        "tfqdyn.report": ["assets/*"],
        "tfqdyn.results": ["*.schema.json"],
        "tfqdyn.show": ["*.mplstyle"],
    },
    install_requires=[
        "absl-py>=1.4",
        "ai-edge-litert>=2.1",
        "fastjsonschema>=2.19",
        "jinja2>=3.1",
        "keras>=3.11",
        "matplotlib>=3.8.4",
        "numba>=0.61",
        "numpy>=2.0",
        "pillow>=10.0",
        "protobuf>=5.28.3",
        "rich>=13.0",
        "scikit-learn>=1.4.2",
        "scipy>=1.13",
        "tensorflow>=2.20",
        "tensorflow-model-optimization>=0.8.1",
        "tf-keras>=2.20.1",
        "vl-convert-python>=1.9",
    ],
    extras_require={
        "dev": [
            "ai-edge-model-explorer>=0.1.30",
            "ai-edge-quantizer>=0.10",
            "jax>=0.5",
            "pandas>=3.1",
            "pyarrow>=17",
            "pyright>=1.1.390",
            "pytest>=8.0",
            "pytest-xdist>=3.6",
            "ray[data]>=2.51,<2.64",
            "ruff>=0.9",
            "selenium>=4.20",
            *MICRO,
            *NOTEBOOKS,
        ],
        "explorer": ["ai-edge-model-explorer>=0.1.30"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6", "mkdocstrings[python]>=0.29"],
        "distributed": ["ray[data]>=2.51,<2.64"],
        "micro": MICRO,
        "notebooks": NOTEBOOKS,
        "parquet": ["pyarrow>=17"],
    },
    entry_points={"console_scripts": ["tfqdyn = tfqdyn.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
