import sys
from peers.protocol import Method, work
import time
for arg in sys.argv[2:]:
    m, mod = sys.argv[1].split("@")
    t=time.perf_counter(); r=work(Method(m, mod, "classical"), arg.split(":")[0], 0, float((arg.split(":")+["10"])[1])); 
    print(arg, f"{time.perf_counter()-t:.1f}s", r.failure, r.note, r.parameters, " ".join(f"{s:.2g}:{e:.1e}" for s,e in r.curve[-14:]), flush=True)
