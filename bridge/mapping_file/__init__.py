"""The mapping file: TOML in, `bridge.core.mapping.Mapping` or every problem of the file out."""

from bridge.mapping_file.problems import Problem
from bridge.mapping_file.read import check_mapping_text, load_mapping, place_of, read_mapping, schema

__all__ = ["Problem", "check_mapping_text", "load_mapping", "place_of", "read_mapping", "schema"]
