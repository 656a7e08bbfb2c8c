"""`python -m utils`: say where each data set comes from.

Exits with 0 where all are found, with 3 where one is nowhere (the stand-in can
help), and with 1 on any other fault, such as a damaged file in BN_DATA_DIR.
"""

import sys

from utils import data

try:
    for dataset in data.SHA256:
        print(f"{dataset}: {data.find(dataset).where}")
except FileNotFoundError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
except ValueError as error:
    sys.exit(str(error))
