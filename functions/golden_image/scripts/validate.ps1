#Requires -Version 5.1
<#
.SYNOPSIS
Shows whether a pooled desktop is onboarded and protected. It changes nothing.
.DESCRIPTION
Ends with exit code 1 when a check fails. The first report of a machine can take three to four
hours, so check the portal after that. For the complete checklist, run collect-evidence.ps1 and
"golden-image assess".
.EXAMPLE
.\validate.ps1
#>
[CmdletBinding()]
param()

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry.'
}
$bad = 0
function Show-Check {
    param([string] $What, [scriptblock] $Read, [scriptblock] $Good)
    try { $seen = & $Read; $holds = [bool] ($seen | ForEach-Object $Good) }
    catch { $seen = "cannot be read: $($_.Exception.Message)"; $holds = $false }
    if (-not $holds) { $script:bad++ }
    [pscustomobject] @{ Check = $What; Seen = [string] $seen; Good = $holds }
}

$sensor = 'HKLM:\SOFTWARE\Microsoft\Windows Advanced Threat Protection'
$tagging = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection\DeviceTagging'
$checks = @(
Show-Check 'Sensor runs' { [string] (Get-Service -Name Sense).Status } { $_ -eq 'Running' }
Show-Check 'Onboarded' { (Get-Item -LiteralPath "$sensor\Status").GetValue('OnboardingState') } { $_ -eq 1 }
Show-Check 'Device tag' { [string] (Get-Item -LiteralPath $tagging).GetValue('Group') } { $_ -ne '' }
Show-Check 'Antivirus mode' { (Get-MpComputerStatus).AMRunningMode } { $_ -eq 'Normal' }
Show-Check 'Real-time protection' { (Get-MpComputerStatus).RealTimeProtectionEnabled } { $_ -eq $true }
Show-Check 'Tamper protection' { (Get-MpComputerStatus).IsTamperProtected } { $_ -eq $true }
Show-Check 'Age of security intelligence, days' { (Get-MpComputerStatus).AntivirusSignatureAge } { $null -ne $_ -and $_ -le 1 }
Show-Check 'Shared security intelligence' { [string] (Get-MpPreference).SharedSignaturesPath } { $_ -like '\\*' }
Show-Check 'Processor limit of scans' { (Get-MpPreference).ScanAvgCPULoadFactor } { $_ -ge 5 -and $_ -le 50 }
Show-Check 'Quick scan at' { [string] (Get-MpPreference).ScanScheduleQuickScanTime } { $_ -ne '' -and $_ -notmatch '^00:00' }
Show-Check 'Interval of updates, hours' { (Get-MpPreference).SignatureUpdateInterval } { $_ -ge 1 -and $_ -le 8 }
)
# Written as text: a table that is formatted while the script ends would be lost.
Write-Output ($checks | Format-Table -Property Good, Check, Seen -AutoSize | Out-String -Width 160).Trim()
if ($bad -gt 0) { exit 1 }
