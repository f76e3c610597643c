# Names for the scripts; everything that they do stands in them.
.PHONY: build test assets screenshots

build: ## bin/mlgym, with the browser libraries where node and npm are there
	scripts/build.sh

assets: ## the browser libraries alone
	scripts/assets.sh

test: ## every check, as continuous integration runs them
	scripts/test.sh

screenshots: ## pictures of the viewer's pages into screenshots/
	scripts/screenshots.sh
