"""A short look at an engine, and a profile of it made from that.

Three figures make the latency model: seconds per prompt token, and seconds per decode step alone
and with all slots busy. A step computes one token of each request; prompts of others come between.
"""
import asyncio
import time

OUT, IN = (16, 64), (64, 512)  # tokens: the profile's axes
STEPS = 48  # answer tokens of a measured request
HEADROOM = 0.8  # of the target, for what the model does not know


class Rates:
    def __init__(self, prompt, alone, full, slots):
        self.prompt, self.alone, self.full, self.slots = prompt, alone, full, slots

    def step(self, n):
        """Seconds of a decode step with n requests."""
        share = (n - 1) / max(1, self.slots - 1)
        return self.alone + share * (self.full - self.alone)

    def latency(self, n, tokens_in, tokens_out):
        """Of a request among n of its size, whose prompts it has to let pass."""
        return tokens_out * self.step(n) + n * tokens_in * self.prompt

    def busy(self, tokens_in, tokens_out):
        """Seconds of the whole engine that a request takes when all slots are busy."""
        return tokens_in * self.prompt + tokens_out * self.full / self.slots


async def timed(engine, ask, tokens_in, tokens_out):
    began = time.monotonic()
    await ask(engine, tokens_in, tokens_out)
    return time.monotonic() - began


async def measure(engine, ask, slots):
    """ask(engine, tokens in, tokens out) sends one request and awaits its answer."""
    await ask(engine, 16, 4)  # the first one is slow
    prompt = min([await timed(engine, ask, IN[1], 1) for _ in range(3)]) / IN[1]

    async def step(n):
        took = await asyncio.gather(*(timed(engine, ask, 16, STEPS) for _ in range(n)))
        return max(1e-6, (sum(took) / n - n * 16 * prompt) / STEPS)

    return Rates(prompt, min([await step(1) for _ in range(3)]),
                 min([await step(slots) for _ in range(2)]), slots)


def profile(name, rates, target):
    """AIBrix's format. Each cell takes as many at once as keep the target: seconds per token of
    prompt and answer."""
    tputs, e2e = [], []
    for tokens_out in OUT:
        tputs.append([])
        e2e.append([])
        for tokens_in in IN:
            allowed = HEADROOM * target * (tokens_in + tokens_out)
            fits = [n for n in range(1, rates.slots + 1)
                    if rates.latency(n, tokens_in, tokens_out) <= allowed]
            n = max(fits, default=1)
            latency = rates.latency(n, tokens_in, tokens_out)
            tputs[-1].append(n / latency if fits else 0.0)
            e2e[-1].append(latency)
    return {"gpu": name, "cost": 1.0, "indexes": [list(OUT), list(IN)], "tputs": tputs, "e2e": e2e,
            "slos": {"percentile": 99, "tpat": target}, "created": time.time()}
