"""Writes statistics.json: what SciPy (1.17.1) and NumPy (2.4.6) make of inputs that the tests use too.

    python test/golden/statistics.py > test/golden/statistics.json
"""

import json
import math
import sys

import numpy as np
from scipy import special, stats
from scipy.spatial.distance import jensenshannon


def grid(n: int, mean: float, deviation: float) -> np.ndarray:
    """A normal sample without chance: its n middle quantiles, to four decimals."""
    return np.round(mean + deviation * stats.norm.ppf((np.arange(n) + 0.5) / n), 4)


def mulberry32(seed: int):
    """The generator of lib/core/random.ts."""
    mask = 0xFFFFFFFF
    state = seed & mask

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & mask
        mixed = ((state ^ (state >> 15)) * (state | 1)) & mask
        mixed ^= (mixed + (((mixed ^ (mixed >> 7)) * (mixed | 61)) & mask)) & mask
        return ((mixed ^ (mixed >> 14)) & mask) / 4294967296

    return draw


def numbers() -> dict:
    reference, current = grid(60, 0, 1), grid(45, 0.35, 1.25)
    edges = np.quantile(reference, np.linspace(0.1, 0.9, 9))
    fenced = np.concatenate([[-np.inf], edges, [np.inf]])
    before, now = (np.histogram(sample, fenced)[0] for sample in (reference, current))
    p, q = (np.maximum(counts / counts.sum(), 1e-4) for counts in (before, now))
    return {
        "reference": reference.tolist(),
        "current": current.tolist(),
        "edges": edges.tolist(),
        "referenceCounts": before.tolist(),
        "currentCounts": now.tolist(),
        "stability": float(np.sum((q - p) * np.log(q / p))),
        "ksOfBins": float(np.abs(np.cumsum(before / before.sum() - now / now.sum())).max()),
        "meanShift": float((current.mean() - reference.mean()) / reference.std()),
        "deviation": float(reference.std()),
    }


def categories() -> dict:
    before, now = [120, 60, 15, 5, 0], [70, 50, 14, 0, 6]
    p, q = (np.array(counts) / sum(counts) for counts in (before, now))
    chi = stats.chi2_contingency([before, now])
    return {
        "before": before,
        "now": now,
        "chiSquare": {"statistic": float(chi[0]), "p": float(chi[1]), "degrees": int(chi[2])},
        "largestChange": float(np.abs(p - q).max()),
        "jensenShannonDistance": float(jensenshannon(p, q)),
    }


def multiplicity() -> dict:
    p = np.array([0.001, 0.008, 0.012, 0.021, 0.030, 0.041, 0.20, 0.35, 0.60, 0.90])
    holm, running = [], 0.0
    for rank, value in enumerate(p):
        running = max(running, min(1.0, (len(p) - rank) * value))
        holm.append(float(running))
    bh = stats.false_discovery_control(p, method="bh")
    return {"p": p.tolist(), "bonferroni": np.minimum(1, p * len(p)).tolist(), "holm": holm, "bh": bh.tolist()}


def mcnemar(first: int, second: int) -> dict:
    rows, least = first + second, min(first, second)
    below, exactly = stats.binom.cdf(least, rows, 0.5), stats.binom.pmf(least, rows, 0.5)
    exact, mid = min(1.0, 2 * below), min(1.0, 2 * (below - exactly / 2))
    return {"first": first, "second": second, "exact": float(exact), "mid": float(mid)}


def delong(labels: list, a: list, b: list) -> dict:
    positive = np.array(labels) == 1
    aucs, over, under = [], [], []
    for scores in (np.array(a), np.array(b)):
        x, y = scores[positive][:, None], scores[~positive][None, :]
        wins = (x > y) + 0.5 * (x == y)
        aucs.append(float(wins.mean()))
        over.append(wins.mean(axis=1))
        under.append(wins.mean(axis=0))
    covariance = np.cov(over) / positive.sum() + np.cov(under) / (~positive).sum()
    difference = aucs[0] - aucs[1]
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    half = stats.norm.ppf(0.975) * error
    return {
        "auc": aucs,
        "errors": np.sqrt(np.diag(covariance)).tolist(),
        "difference": difference,
        "z": difference / error,
        "p": float(2 * stats.norm.sf(abs(difference / error))),
        "interval": [float(difference - half), float(difference + half)],
    }


def paired() -> dict:
    draw = mulberry32(7)
    labels = [1 if draw() < 0.4 else 0 for _ in range(80)]
    champion = [round(min(1, max(0, 0.35 * label + 0.65 * draw())), 4) for label in labels]
    candidate = [round(min(1, max(0, 0.42 * label + 0.58 * draw())), 4) for label in labels]
    right = [(np.array(scores) >= 0.5) == (np.array(labels) == 1) for scores in (candidate, champion)]
    gain = right[0].astype(float) - right[1].astype(float)
    draw = mulberry32(2024)
    drawn = np.sort([sum(gain[int(draw() * 80)] for _ in range(80)) / 80 for _ in range(2000)])
    y, s = np.array(labels), np.array(candidate)
    order = np.argsort(s, kind="stable")
    bins = [order[len(s) * i // 10 : len(s) * (i + 1) // 10] for i in range(10)]
    return {
        "labels": labels,
        "champion": champion,
        "candidate": candidate,
        "delong": delong(labels, candidate, champion),
        "accuracy": [float(r.mean()) for r in right],
        "onlyOneRight": [int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())],
        "accuracyInterval": np.quantile(drawn, [0.025, 0.975]).tolist(),
        "logLoss": float(-np.mean(y * np.log(s) + (1 - y) * np.log(1 - s))),
        "brier": float(np.mean((y - s) ** 2)),
        "rmse": float(np.sqrt(np.mean((y - s) ** 2))),
        "mae": float(np.mean(np.abs(y - s))),
        "calibrationError": float(sum(abs((s[b] - y[b]).sum()) for b in bins) / len(s)),
    }


def evidence() -> dict:
    p, running, path = [0.8, 0.3, 0.04, 0.5, 0.01, 0.002, 0.0005], 0.0, []
    for value in p:
        running = 0.5 * value**-0.5 * (running + 1)
        path.append(running)
    return {"p": p, "path": path}


def limits(bins: int, n: int, m: int, alpha: float) -> dict:
    chance, limit = 1 / n + 1 / m, stats.chi2.isf(alpha, bins - 1)
    return {
        "bins": bins,
        "rows": n,
        "otherRows": m,
        "alpha": alpha,
        "expected": (bins - 1) * chance,
        "stability": float(limit * chance),
        "jensenShannon": float(math.sqrt(limit * chance / 8)),
        "kolmogorov": math.sqrt(-math.log(alpha / 2) / 2 * chance),
    }


def functions() -> dict:
    """Values of our own special functions, far into the tails."""
    chi = [(x, k) for k in (1, 2, 9, 20, 250) for x in (0.01, 0.5 * k, 1.0 * k, 1.7 * k, 5.0 * k)]
    beta = [(a, b, x) for a, b in ((0.5, 0.5), (2, 3), (30, 1), (120, 400), (5, 2000)) for x in (1e-3, 0.1, 0.3, 0.9)]
    return {
        "normalTail": [[z, float(stats.norm.sf(z))] for z in (-3, -0.5, 0, 0.1, 1, 1.96, 5, 12, 30)],
        "normalQuantile": [[p, float(stats.norm.ppf(p))] for p in (1e-12, 1e-4, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999)],
        "chiSquareTail": [[x, k, float(stats.chi2.sf(x, k))] for x, k in chi],
        "chiSquareLimit": [[p, k, float(stats.chi2.isf(p, k))] for p in (1e-9, 0.0025, 0.05, 0.7) for k in (1, 9, 250)],
        "betaShare": [[a, b, x, float(special.betainc(a, b, x))] for a, b, x in beta],
        "logGamma": [[x, float(special.gammaln(x))] for x in (0.5, 1, 1.5, 3.25, 10, 125, 5000)],
        "kolmogorovTail": [[x, float(stats.kstwobign.sf(x))] for x in (0.2, 0.5, 0.9, 1, 1.3581, 2, 4)],
    }


def main() -> None:
    draw = mulberry32(42)
    cells = [(10, 2000, 100, 0.05), (10, 2000, 100, 0.0025), (20, 100000, 5000, 0.05), (5, 500, 500, 0.01)]
    golden = {
        "random42": [draw() for _ in range(5)],
        "numbers": numbers(),
        "categories": categories(),
        "multiplicity": multiplicity(),
        "mcnemar": [mcnemar(5, 15), mcnemar(10, 25), mcnemar(0, 6), mcnemar(40, 60)],
        "paired": paired(),
        "evidence": evidence(),
        "limits": [limits(*cell) for cell in cells],
        "functions": functions(),
    }
    text = ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items())
    sys.stdout.write(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main()
