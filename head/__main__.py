from head.cli import app

app(prog_name="python -m head")
