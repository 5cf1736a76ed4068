"""How long a layer of 2,000 units takes to show its grid: from navigation to the first screen of decoded pictures.

python benchmarks/explorer.py [--units 2000] [--runs 5]
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from retinoscope.web import urls
from retinoscope.web.app import create
from retinoscope.web.export import export
from retinoscope.web.serve import address, listen

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "web"))
from planted import NETWORK, plant_wide

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# Runs in the page from its first moment, once a frame: is the first screen full of cards, and each of their pictures
# decoded? Cards far below the screen are not laid out; asking where they are would lay them out, so only the first are.
WATCH = """(() => {
  const look = async () => {
    const cards = [...document.querySelectorAll('#grid li:nth-child(-n+99)')];
    const near = cards.filter(card => card.getBoundingClientRect().top < innerHeight).map(c => c.querySelector('img'));
    if (near.length === 0 || near.length === cards.length || !near.every(i => i && i.complete && i.naturalWidth))
      return requestAnimationFrame(look);
    await Promise.all(near.map(image => image.decode()));
    requestAnimationFrame(() => { window.seen = {shown: performance.now(), pictures: near.length}; });
  };
  requestAnimationFrame(look);
})()"""

SEEN = """() => {
  const [page] = performance.getEntriesByType('navigation');
  const [paint] = performance.getEntriesByName('first-contentful-paint');
  return {...window.seen, paint: paint.startTime, ready: page.domContentLoadedEventEnd};
}"""


def measure(browser: Browser, address: str) -> dict[str, float]:
    """One visit with an empty cache: milliseconds from navigation to what is seen."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address, wait_until="load")
    page.wait_for_function("() => window.seen")
    found: dict[str, float] = page.evaluate(SEEN)
    context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        store = plant_wide(Path(folder) / "store", args.units)
        export(store, Path(folder) / "site")
        listener = listen(port=0)
        server = uvicorn.Server(uvicorn.Config(create(store), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        chromium = os.environ.get("RETINOSCOPE_CHROMIUM") or shutil.which("chromium")
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        layer = urls.layer(NETWORK, "wide")
        exported = f"{(Path(folder) / 'site').as_uri()}/{layer}index.html"
        for name, target in (("served", address(listener) + layer), ("exported", exported)):
            report(name, args.units, [measure(browser, target) for _ in range(args.runs)])
        browser.close()
        server.should_exit = True
        thread.join(10)


def report(name: str, units: int, runs: list[dict[str, float]]) -> None:
    """Print the median and the worst of the runs."""
    moments = {
        "paint": "first contentful paint",
        "shown": "first screen of decoded pictures",
        "ready": "ready for keys",
    }
    for key, words in moments.items():
        times = [run[key] for run in runs]
        print(f"{name}, {units} units, {words}: {statistics.median(times):.0f} ms (worst {max(times):.0f})")
    print(f"{name}: {runs[0]['pictures']:.0f} pictures on the first screen")


if __name__ == "__main__":
    main()
