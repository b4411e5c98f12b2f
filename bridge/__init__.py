"""A two-way consent sync between PossibleNOW MyPreferences and Dotdigital.

A withdrawal wins under doubt; a raise needs newer, dated evidence.
"""

__version__ = "0.1.0"
