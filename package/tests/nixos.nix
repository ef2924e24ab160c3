# Stands in for nixpkgs, of which there is nothing here: as much of its library as module.nix and package.nix use.
# Evaluates the module for options, and the package; `test_nixos.py` reads both as JSON.
{
  folder,
  options,
}:

let
  lib = {
    mkOption = declaration: declaration // { _option = true; };
    mkEnableOption = description: lib.mkOption {
      inherit description;
      default = false;
      type = "bool";
    };
    mkIf = condition: content: if condition then content else { };
    optional = condition: it: if condition then [ it ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    literalExpression = text: text;
    cleanSource = toString;
    licenses.gpl2Plus = "gpl2Plus";
    platforms.linux = "linux";
    types = {
      bool = "bool";
      int = "int";
      str = "str";
      package = "package";
      oneOf = types: "oneOf";
      either = one: other: "either";
      listOf = type: "listOf";
      attrsOf = type: "attrsOf";
      nullOr = type: "nullOr";
    };
  };

  # Each Python package is its name.
  named = names: builtins.listToAttrs (map (name: { inherit name; value = name; }) names);
  python3Packages =
    named [
      "alembic" "babel" "click" "dnspython" "hatchling" "idna" "itsdangerous" "jinja2" "limits" "prometheus-client"
      "psycopg" "pydantic" "pymilter" "pyspf" "redis" "rich" "sqlalchemy" "starlette" "uvicorn"
    ]
    // {
      python.sitePackages = "lib/python3/site-packages";
      buildPythonApplication =
        it:
        it
        // {
          outPath = "/nix/store/spfmilter";
          overridePythonAttrs = change: python3Packages.buildPythonApplication (it // change it);
        };
    };

  pkgs = {
    callPackage =
      path: overrides:
      import path {
        inherit lib python3Packages;
        installShellFiles = "installShellFiles";
      };
    runCommand = name: environment: script: { outPath = "/nix/store/${name}"; } // environment // { inherit script; };
    writeText = name: text: { outPath = "/nix/store/${name}"; inherit text; };
  };

  # Options with their defaults, and in their place what is set.
  filled =
    declared: set:
    builtins.mapAttrs (
      name: declaration:
      if declaration._option or false then
        set.${name} or (declaration.default or null)
      else
        filled declaration (set.${name} or { })
    ) declared;

  module = import (folder + "/module.nix") {
    inherit lib pkgs;
    config.services.spfmilter = filled module.options.services.spfmilter options;
  };
  package = pkgs.callPackage (folder + "/package.nix") { };
  described =
    declared:
    builtins.concatMap (
      name:
      if declared.${name}._option or false then
        [ (builtins.isString (declared.${name}.description or null)) ]
      else
        described declared.${name}
    ) (builtins.attrNames declared);
in
{
  inherit (module) config;
  described = builtins.all (it: it) (described module.options.services.spfmilter);
  text = (module.config.environment.etc."spfmilter/spfmilter.ini".source or { }).text or null;
  installed = builtins.concatMap (it: it.dependencies or [ ]) (module.config.environment.systemPackages or [ ]);
  package = {
    inherit (package)
      version
      build-system
      dependencies
      optional-dependencies
      postInstall
      ;
  };
}
