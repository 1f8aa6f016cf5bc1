#!/usr/bin/env python3
"""Small jobs: a handler that is started for each job, with the job on its stdin and its exit code as the answer.

    0 done, 75 come later, 65 fail for good, anything else run it again if it has attempts left

WriteReport [file]     writes when it ran
CallPrinter [file]     finds the printer out of paper the first time
UpdateLedger [folder]  adds one to a number in a file, slowly; two at a time would lose a count
"""

import json
import os
import sys
import time

FAIL_FOR_GOOD = 65


def write_report(job, file):
    with open(file, "w") as report:
        print(time.time_ns(), file=report)


def call_printer(job, file):
    with open(file, "a") as log:
        print(f"attempt {job['attempt']}", file=log)
    if job["attempt"] == 1:
        sys.exit("the printer is out of paper")


def update_ledger(job, folder):
    began = time.time_ns()
    balance = os.path.join(folder, "balance")
    count = 0
    if os.path.exists(balance):
        with open(balance) as file:
            count = int(file.read())
    time.sleep(0.15)
    with open(balance, "w") as file:
        file.write(str(count + 1))
    with open(os.path.join(folder, "times"), "a") as times:
        print(began, time.time_ns(), file=times)


ERRANDS = {"WriteReport": write_report, "CallPrinter": call_printer, "UpdateLedger": update_ledger}


def main():
    job = json.load(sys.stdin)
    errand = ERRANDS.get(job["class"])
    if errand is None:
        print(f"no errand of class {job['class']} is known here", file=sys.stderr)
        sys.exit(FAIL_FOR_GOOD)
    errand(job, *job["arguments"])


if __name__ == "__main__":
    main()
