"""The mapping file: TOML in, `bridge.core.mapping.Mapping` out, or every problem of the file at once."""

from bridge.mapping_file.problems import Problem
from bridge.mapping_file.read import check_mapping_text, load_mapping, place_of, read_mapping, schema

__all__ = ["Problem", "check_mapping_text", "load_mapping", "place_of", "read_mapping", "schema"]
