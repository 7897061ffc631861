"""How quickly the explorer's page paints and runs its models, in headless Chromium without a GPU.

    python benchmarks/explorer.py PAGE.html [PAGE.html ...] [--width 1280] [--height 800] [--frames 60]

Pages come from `triptych explore MODEL --static PAGE.html`, or from `explorer/dev/payload.py` for any number of points.
Each page is opened from its file, panned by dragging and zoomed by the wheel. A row a page, as JSON: milliseconds until
the map is shown, median and 95th percentile of a frame's painting, the longest task after loading, and the times of
calls of encoder and decoder, and of a whole drawing (scaling, encoder, neighbours), where the page has a model.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

TASKS = """
window.longTasks = [];
new PerformanceObserver(list => list.getEntries().forEach(one => window.longTasks.push(one.duration)))
  .observe({type: "longtask"});
"""


def measured(browser: Browser, path: Path, *, width: int, height: int, frames: int) -> dict[str, Any]:
    """Open a page and measure it."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.add_init_script(TASKS)
    started = time.perf_counter()
    page.goto(path.absolute().as_uri(), timeout=300_000)
    page.wait_for_function("window.triptych?.ready", timeout=300_000)
    shown = time.perf_counter() - started
    page.wait_for_timeout(3000)
    page.evaluate(
        "window.longTasks.length = 0; for (const key in window.triptych.timings) delete window.triptych.timings[key]"
    )
    row: dict[str, Any] = {"page": path.name, "MB": round(path.stat().st_size / 1e6, 1), "shown_s": round(shown, 2)}
    row |= {"images": page.evaluate("document.querySelector('[data-testid=shown-count]').textContent")}
    _drag(page, frames)
    row["pan_ms"] = _spread(page, "frame-0")
    _wheel(page, frames)
    row["zoom_ms"] = _spread(page, "frame-0")
    row["longest_task_ms"] = round(page.evaluate("Math.max(0, ...window.longTasks)"))
    for tab in ("yours", "latent", "labels"):
        page.get_by_test_id(f"tab-{tab}").click()
        page.wait_for_timeout(1000)
        if tab == "yours" and page.get_by_test_id("draw").count():
            _draw(page)
        if tab == "latent" and page.get_by_test_id("latent-panel").count():
            _slide(page, frames)
    page.wait_for_timeout(500)
    names = {
        "encode": "encoder_ms",
        "decode": "decoder_ms",
        "latent step": "latent_step_ms",
        "your image": "drawing_ms",
    }
    row |= {name: spread for key, name in names.items() if (spread := _spread(page, key))}
    row["longest_task_panels_ms"] = round(page.evaluate("Math.max(0, ...window.longTasks)"))
    page.close()
    return row


def _drag(page: Page, frames: int) -> None:
    box = page.get_by_test_id("map-0").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(frames):
        page.mouse.move(x + 2 * (step % 20), y + step)
        page.wait_for_timeout(20)
    page.mouse.up()


def _wheel(page: Page, frames: int) -> None:
    for step in range(frames):
        page.mouse.wheel(0, -60 if step < frames / 2 else 60)
        page.wait_for_timeout(20)
    page.wait_for_timeout(500)


def _draw(page: Page) -> None:
    for stroke in range(6):
        box = page.get_by_test_id("draw").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 40 + 10 * stroke, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(box["x"] + 60, box["y"] + 130, steps=5)
        page.mouse.up()
        page.wait_for_timeout(600)


def _slide(page: Page, frames: int) -> None:
    page.get_by_text("Two random images").click()
    page.get_by_test_id("between").focus()
    for _ in range(frames):
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(20)


def _spread(page: Page, name: str) -> dict[str, float] | None:
    times: list[float] = page.evaluate("name => window.triptych.timings[name] ?? []", name)
    page.evaluate("name => { delete window.triptych.timings[name] }", name)
    if not times:
        return None
    ordered = sorted(times)
    return {
        "n": len(times),
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chosen = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        cpu = next(
            (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
        )
        load = round(os.getloadavg()[0], 1)
        print(
            json.dumps(
                {"chromium": browser.version, "cpu": cpu.partition(": ")[2], "cores": os.cpu_count(), "load": load}
            )
        )
        for path in chosen.pages:
            figures = measured(browser, path, width=chosen.width, height=chosen.height, frames=chosen.frames)
            print(json.dumps(figures), flush=True)
        browser.close()
