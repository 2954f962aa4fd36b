"""Turn scikit-learn's wine data set into the table that the model learns from: outputs/features.csv."""

from pathlib import Path

from sklearn.datasets import load_wine

wine = load_wine(as_frame=True)
table = wine.data[["malic_acid", "ash", "magnesium", "total_phenols", "color_intensity", "hue", "proline"]].copy()
table.insert(0, "cultivar", wine.target.map(dict(enumerate(wine.target_names))))
table["alcohol"] = wine.data["alcohol"]

Path("outputs").mkdir(exist_ok=True)
table.to_csv("outputs/features.csv", index=False)
print(f"features: {len(table)} wines, {table.shape[1]} columns")
