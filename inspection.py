"""`fdcn inspect`: what a bundle holds, as a table."""

from rich.console import Console
from rich.table import Column, Table

from fdcn.bundle import Bundle, Engine, Graph, Manifest
from fdcn.errors import FdcnError
from fdcn.runtime.memory import format_bytes


def file_states(bundle: Bundle) -> dict[str, str]:
    """Each file of a bundle and "ok", or what is wrong with it."""
    states = {}
    for name in bundle.manifest.files:
        try:
            bundle.file(name)
            states[name] = "ok"
        except FdcnError as error:
            states[name] = str(error)
    return states


def print_bundle(bundle: Bundle, states: dict[str, str]) -> None:
    """Print a bundle's model, sampler defaults, graphs, engines and files."""
    console, m = Console(highlight=False), bundle.manifest
    about = Table(title=str(bundle.path), title_justify="left", show_header=False, box=None)
    engines = {f"engine {i}": _engine_facts(engine) for i, engine in enumerate(m.engines, start=1)}
    for name, value in (_facts(bundle) | _calibration(m) | engines).items():
        about.add_row(f"[bold]{name}", value)
    console.print(about)
    files = Table("used as", Column("file", overflow="fold"), "size", "state", title_justify="left", box=None)
    uses = {f"graph {name}": graph for name, graph in m.graphs.items()}
    for i, engine in enumerate(m.engines, start=1):
        uses |= {f"engine {i} {name}": graph for name, graph in engine.graphs.items()}
        if engine.target and engine.target.plugin.file:
            uses[f"engine {i} plugin"] = Graph(engine.target.plugin.file, [])
    if m.calibration:
        uses["statistics"] = Graph(m.calibration.statistics, [])
        uses |= {f"recipe {precision}": Graph(file, []) for precision, file in m.calibration.recipes.items()}
    for use, graph in uses.items():
        for path in (graph.file, *graph.data):
            good = states[path] == "ok"
            files.add_row(use, path, format_bytes(m.files[path].bytes), "ok" if good else "[red]damaged")
    console.print(files)


def _engine_facts(engine: Engine) -> str:
    """What an engine was made with and for."""
    target = engine.target
    groups = [f"steps until {group.until:g} by graph {group.graph}" for group in engine.step_groups]
    if target is None:
        return "\n".join([f"{engine.key}: on a CPU, {engine.precision}, any size", *groups])
    plugin, cuda = target.plugin, f", CUDA {target.cuda}" if target.cuda else ""
    operator = "TensorRT itself" if plugin.kind == "none" else f"{plugin.kind} plugin, version {plugin.version}"
    return "\n".join(
        [
            f"{engine.key}: {target.flavour} {target.version}{cuda}, for {', '.join(target.compute)}",
            target.precision + (", weights exchangeable" if target.refittable else ""),
            f"operator by {operator}" + (f", sha256 {plugin.sha256[:16]}…" if plugin.sha256 else ""),
            *(f"sizes {profile}" for profile in target.profiles),
            *groups,
        ]
    )


def _calibration(m: Manifest) -> dict[str, str]:
    """What a bundle's calibration was measured on; nothing where there is none."""
    c = m.calibration
    if c is None:
        return {}
    sizes, precisions = (", ".join(each) for each in (("{}x{}".format(*size) for size in c.sizes), c.recipes))
    facts = f"for {precisions}: {c.samples} samples of {sizes}, {c.solver}, {c.steps} steps, guidance {c.guidance:g}"
    stale = "" if c.weights_sha256 == m.model.weights_sha256 else "; of other weights: run fdcn calibrate"
    return {"calibration": facts + stale}


def _facts(bundle: Bundle) -> dict[str, str]:
    m = bundle.manifest
    model, sampling = m.model, m.sampling
    names = m.class_names or []
    shown = ", ".join(names[:10]) + (f", … ({len(names)})" if len(names) > 10 else "")
    return {
        "model": f"{model.family}, {model.parameters / 1e6:.2f} M parameters ({model.weights})",
        "architecture": ", ".join(f"{name} {value}" for name, value in model.architecture.items()),
        "trained at": "{}x{}".format(*m.train_size) + (", mixed aspect ratios" if m.mixed_aspect else ""),
        "sizes": "any" if m.fixed_size is None else "{}x{} alone".format(*m.fixed_size),
        "pixels": f"{m.pixel_factor} a latent element, {'decoded' if 'decoder' in m.graphs else 'previewed (no VAE)'}",
        "classes": f"{model.classes}: {shown}" if names else str(model.classes),
        "sampler": f"{sampling.solver}, {sampling.steps} steps, guidance {sampling.guidance:g}, "
        f"S_max adjustment {'on' if sampling.s_max_adjust else 'off'}",
        "operator": m.operator,
        "weights": f"sha256 {model.weights_sha256[:16]}…",
        "written by": f"fdcn {m.fdcn}, bundle format {m.format}",
    }
