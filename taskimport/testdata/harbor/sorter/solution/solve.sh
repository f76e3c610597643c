#!/bin/bash
printf '#!/bin/bash\nsort -u "$1"\n' > /app/sort.sh
chmod +x /app/sort.sh
