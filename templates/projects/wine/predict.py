"""What runs in production every night: predict the wines that came in."""

import argparse

import joblib
import pandas as pd


def score(model, batch):
    """The predicted alcohol of each wine of a batch."""
    seen = set(batch["cultivar"])
    expected = set(model["encode"].transformers_[0][1].categories_[0])
    return model.predict(batch)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("batch")
    path = arguments.parse_args().batch
    batch = pd.read_csv(path)
    model = joblib.load("outputs/model.joblib")
    batch["alcohol"] = score(model, batch)
    batch.to_csv("outputs/predictions.csv", index=False)
    print(f"predicted {len(batch)} wines, mean alcohol {batch['alcohol'].mean():.2f}")


if __name__ == "__main__":
    main()
