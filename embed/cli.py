"""`python -m embed`: build feature caches and look at them.

Each command is a thin shell over one library call.
"""

from embed.building.command import run_build_cache
from embed.catalogue.command import run_backbones
from embed.console import create_app
from embed.doctor.command import run_doctor
from embed.upkeep.commands import run_diff
from embed.upkeep.commands import run_info
from embed.upkeep.commands import run_list
from embed.upkeep.commands import run_prune
from embed.upkeep.commands import run_verify

app = create_app("Frozen backbone to feature cache: every image is seen once.")

app.command("build-cache")(run_build_cache)
app.command("info")(run_info)
app.command("list")(run_list)
app.command("verify")(run_verify)
app.command("diff")(run_diff)
app.command("prune")(run_prune)
app.command("doctor")(run_doctor)
app.command("backbones")(run_backbones)
