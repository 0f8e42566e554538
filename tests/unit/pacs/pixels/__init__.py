"""Tests of the pixel room."""
