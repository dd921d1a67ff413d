using 'main.bicep'

param name = 'defender'
param hostingPlan = 'flex'
param apiClientId = '22222222-3333-4444-5555-666666666666'
param coverageScope = 'mg:contoso'
param vdiHostPattern = '^vdi-'
param goldenImagePattern = '^gold-'
param alertEmail = 'soc@contoso.com'
param privateNetwork = false
