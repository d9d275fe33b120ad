"""The page, in gradio: a picture in, classes and similar pictures out.

Nothing is asked of other machines, and nothing is sent to them: no analytics,
no fonts, no tunnel. Uploads lie in a folder of their own until the end.
"""

import contextlib
import importlib.util
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed.errors import PipelineError
from head.demo.showcase import Showcase

EXTRA = "python -m pip install 'headstart[app]'"
MAX_BYTES = "200mb"  # Of an upload; pixels have a limit of their own.
FONTS = ("system-ui", "sans-serif")  # Gradio's own are fetched.
# How often uploads are looked through, and how old ones are deleted.
KEPT_SECONDS = (600, 3600)
MAX_COLUMNS = 6  # Of similar pictures, side by side.
MIN_WIDTH = (
    320  # Pixels of picture and answer: a phone has one below the other.
)

# A caption is read in full, and a phone has two pictures side by side.
CSS = """
#similar .caption-label { white-space: normal; max-width: 100%; left: 0;
  right: 0; text-align: center; }
#similar .grid-wrap { min-height: 0; }
@media (max-width: 600px) {
  #similar .grid-container { grid-template-columns: 1fr 1fr; }
}
"""
HEADERS = ("Picture", "Class", "Similarity")


class DemoError(PipelineError, RuntimeError):
    """The page cannot be served."""


@contextlib.contextmanager
def serve(
    showcase: Showcase, *, host: str, port: int | None, num_top: int
) -> Iterator[str]:
    """Serves the page until the block ends.

    Args:
        showcase: What it shows.
        host: Address to listen at; `127.0.0.1` for this machine alone.
        port: To listen at; default: the first free one from 7860.
        num_top: How many classes are shown.

    Yields:
        The address of the page.

    Raises:
        DemoError: If the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="headstart-demo-") as folder:
        # Both are read when it is imported.
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        import gradio

        page = _build(gradio, showcase, Path(folder), num_top)
        try:
            _, url, _ = page.launch(
                prevent_thread_lock=True,
                quiet=True,
                show_error=True,
                share=False,
                server_name=host,
                server_port=port,
                ssr_mode=False,
                max_file_size=MAX_BYTES,
                footer_links=[],
                css=CSS,
                theme=gradio.themes.Default(font=FONTS, font_mono=FONTS),
            )
        except (OSError, ValueError) as error:
            raise DemoError(
                f"The page cannot be served at {host}"
                f"{f':{port}' if port else ''}: {error} Choose another with "
                "`--port N` or `--host ADDRESS`; behind a proxy, set "
                "NO_PROXY=localhost,127.0.0.1."
            ) from error
        try:
            yield url
        finally:
            page.close(verbose=False)


def require_gradio() -> None:
    """Refuses to begin where gradio is missing.

    Raises:
        DemoError: Says how to install it.
    """
    if importlib.util.find_spec("gradio") is None:
        raise DemoError(
            "The page needs gradio, which is not installed. Install it with "
            f"`{EXTRA}`, or ask for answers with `python -m head predict`."
        )


def wait_for_end() -> None:
    """Waits for Ctrl-C, or for a service manager, which end a page."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _build(gradio: Any, showcase: Showcase, folder: Path, num_top: int) -> Any:
    """Lays the page out and connects it."""
    model = showcase.model

    def classify(path: str | None) -> tuple[Any, Any]:
        if path is None:
            return None, None
        prediction = showcase.answer(path)
        if prediction.problem:
            raise gradio.Error(prediction.problem, print_exception=False)
        return showcase.to_confidences(prediction), prediction.neighbours

    def show(neighbours: Any) -> Any:
        if not showcase.has_pictures:
            return [
                (one.image_id, one.class_name, round(one.similarity, 2))
                for one in neighbours or ()
            ]
        try:
            return showcase.find_pictures(neighbours or ())
        except PipelineError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    with gradio.Blocks(
        title="Headstart", analytics_enabled=False, delete_cache=KEPT_SECONDS
    ) as page:
        gradio.Markdown(
            f"# What is it?\n`{model.path.name}` knows "
            f"{len(model.class_names):,} classes. Drop a picture."
        )
        neighbours = gradio.State()
        with gradio.Row():
            picture = gradio.Image(
                label="Picture",
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                elem_id="picture",
                min_width=MIN_WIDTH,
            )
            classes = gradio.Label(
                label="Probability",
                num_top_classes=num_top,
                elem_id="classes",
                min_width=MIN_WIDTH,
            )
        similar = _similar(gradio, showcase)
        # Gradio would open it by Pillow, which knows other pictures than we do.
        picture.preprocess = _path_of
        answered = picture.change(
            classify, picture, [classes, neighbours], api_name="classify"
        )
        if similar is not None:
            answered.success(
                show, neighbours, similar, api_visibility="private"
            )
        if examples := showcase.write_examples(folder):
            gradio.Examples(
                [str(path) for path in examples],
                picture,
                label="Test pictures, which it has not seen",
            )
    return page


def _path_of(upload: Any) -> str | None:
    """Returns where an upload lies, its bytes as they came."""
    return None if upload is None else upload.path


def _similar(gradio: Any, showcase: Showcase) -> Any:
    """Returns where similar training pictures are shown, if they are."""
    if not showcase.num_neighbours:
        return None
    gradio.Markdown(f"The most similar {showcase.kind_of_neighbours}")
    if showcase.has_pictures:
        return gradio.Gallery(
            show_label=False,
            columns=min(showcase.num_neighbours, MAX_COLUMNS),
            height="auto",
            object_fit="contain",
            interactive=False,
            buttons=[],
            elem_id="similar",
        )
    return gradio.Dataframe(
        show_label=False, headers=HEADERS, elem_id="similar"
    )
