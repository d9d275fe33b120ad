"""The report of a run: one HTML file that needs nothing but a browser.

`head.report.writing.write_report` measures, draws and writes; every other
module gathers the material of a section or two, and `page.html.jinja` lays
them out.
"""
