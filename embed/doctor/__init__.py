"""The doctor: looks for whatever would make a build fail, and says what to do.

It must start on a broken installation. Modules here import the standard
library and a few light ones of ours; whatever may crash, hang or be slow is
looked up by `probe` in a child process, and judged here.
"""
