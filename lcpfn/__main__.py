from lcpfn.cli import main

raise SystemExit(main())
