"""Ridge regression on the prices: python baseline.py writes submission.csv."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def make_model(features: pd.DataFrame) -> Pipeline:
    """Return a model for these columns, not yet fitted."""
    numeric = features.select_dtypes("number").columns
    text = features.select_dtypes(exclude="number").columns
    columns = ColumnTransformer(
        [
            ("numeric", make_pipeline(SimpleImputer(strategy="mean"), StandardScaler()), numeric),
            (
                "text",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore")
                ),
                text,
            ),
        ]
    )
    return make_pipeline(columns, Ridge(alpha=0.1))


def main() -> None:
    """Fit on the training rows, say how good the fit is, and predict the others."""
    train = pd.read_csv("data/train/train.csv")
    test = pd.read_csv("data/test/test.csv")
    features, price = train.drop(columns=["Id", "SalePrice"]), train["SalePrice"]
    print(f"{len(train)} training rows, {len(test)} to predict, {features.shape[1]} columns", flush=True)

    # Five-fold cross-validation: each row is predicted by a model that has not seen it.
    folds = KFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(make_model(features), features, price, cv=folds)
    rmse = np.sqrt(np.mean((price - guess) ** 2))
    print(f"cross-validation on the training rows: r2 {r2_score(price, guess):.4f}, rmse {rmse:,.0f}", flush=True)

    model = make_model(features).fit(features, price)
    predicted = model.predict(test.drop(columns="Id"))
    pd.DataFrame({"Id": test["Id"], "SalePrice": predicted}).to_csv("submission.csv", index=False)
    print(f"submission.csv has {len(predicted)} predictions")


if __name__ == "__main__":
    main()
