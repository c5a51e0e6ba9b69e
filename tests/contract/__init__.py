"""What the specification's own schemas say of answers, held against every answer that the tests are given.

`responses.json` has the schemas, `generate.py` made it; `contract.py` judges an answer by them, and
`tests/harness/client.py` asks it about each one that it gets. Where roomlog differs, `deviations.toml` says
why. Open `contract.py` first.
"""
