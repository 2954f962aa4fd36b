"""Learn a wine's alcohol from its other measurements; writes outputs/model.joblib."""

import argparse

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

arguments = argparse.ArgumentParser()
arguments.add_argument("--alpha", type=float, default=1.0)
alpha = arguments.parse_args().alpha

table = pd.read_csv("outputs/features.csv")
known, target = table.drop(columns="alcohol"), table["alcohol"]
train_x, test_x, train_y, test_y = train_test_split(known, target, test_size=0.25, random_state=0)

encode = make_column_transformer((OneHotEncoder(), ["cultivar"]), remainder=StandardScaler())
model = Pipeline([("encode", encode), ("fit", Ridge(alpha=alpha))]).fit(train_x, train_y)

joblib.dump(model, "outputs/model.joblib")
print(f"r2: {r2_score(test_y, model.predict(test_x)):.3f}")
