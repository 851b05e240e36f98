"""BERT4Rec of other libraries beside ours: the same work, in turns, in one run.

    make bench-peers                                  # hours on a CPU: install, run, write a report
    make bench-peers ARGS="--peers ours,recbole --users 300 --equal-minutes 0"      # a try

Each library lives in a virtual environment of its own and is a small server (`_<library>.py`) that
trains an epoch, validates or recommends when it is told to (`_serving.py`). The driver tells one at
a time, in rounds, so that a busy machine disturbs all of them alike.
"""
