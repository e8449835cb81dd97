"""What a wheel holds: `core`, `pages`, and under `vitrine_files` the other files of the checkout that the app opens.

Metadata and dependencies are in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["core", "core.*", "pages", "pages.*"]), "vitrine_files"],
    package_dir={"vitrine_files": "."},  # its only module is app.py
    package_data={
        "pages": ["**/*"],
        "vitrine_files": [
            ".streamlit/config.toml",
            "assets/**/*",
            "checkpoints/**/*",
            "benchmarks/results/*.json",
        ],
    },
    exclude_package_data={"": ["__pycache__/*", "*.pyc"]},
)
