"""Edges of OpenVINO's graphs: which nodes use a result, and of which one."""

import openvino


def connect(users: set[openvino.Input], source: openvino.Output) -> None:
    """Has users read another result than they do."""
    for user in users:
        user.replace_source_output(source)


def only_user(node: openvino.Node) -> openvino.Node | None:
    """Returns the node that alone uses the result of another, if any."""
    users = [user.get_node() for user in node.output(0).get_target_inputs()]
    return users[0] if len(users) == 1 else None
