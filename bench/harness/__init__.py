"""What the rows of `bench/run` and `bench/peers/run` measure with. Python's standard library, and nothing else.

machine.py   what is measured where: programs, cores, ports, the machine's description
server.py    a program under load: start, first 2xx, CPU, memory, stop, kill
sluice.py    Sluice in the arrangements that rows need, and what it has on disk
load.py      wrk in closed loop, `sluice simulate` in open loop with its verify phase
result.py    a row's figures against its target; as text, JSON and Markdown
"""
